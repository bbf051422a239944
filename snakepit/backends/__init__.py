"""snakepit behind the interfaces of others: concurrent.futures."""
