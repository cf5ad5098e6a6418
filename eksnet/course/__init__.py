"""The course room: its notebooks, how they are run, and the copies that learners work in.

Nothing but the command and `eksnet` itself imports it.
"""
