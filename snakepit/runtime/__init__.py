"""The driver's shell around the scheduler: processes, sockets, the pump, timers."""
