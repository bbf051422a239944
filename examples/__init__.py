"""Programs as a user of snakepit would write them, on its public names alone.

Each runs as a script. They are installed as `snakepit.examples`, so that `snakepit demo` runs the
very code that one reads here.
"""
