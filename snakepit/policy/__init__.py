"""Every decision of the runtime, as pure code: events in, actions out.

Nothing here reads a clock, opens a descriptor, starts a thread or draws a random number, so the
simulator in `tests/policy` can drive it through millions of events and check its promises after
each: every call resolves exactly once, resources balance, nothing leaks.
"""
