"""The exception that means: the user can mend this."""


class UserError(Exception):
    """Something outside the program is wrong: a file, an argument, a folder.

    The message is one line that says what is wrong, where, and what to do. The command line prints it on
    standard error and exits with code 2; from Python it is an ordinary exception.
    """


class WriteError(UserError):
    """Nothing can be written any more, because a disk is full, say: unlike one bad recording, it ends the work."""
