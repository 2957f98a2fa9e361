"""The one exception for what a user can mend."""


class InputError(Exception):
    """Bad input: what was expected, what was found, where, and the command or edit that mends it.

    The command line prints the message alone and exits with status 2. Anything else that is raised is a bug.
    """
