"""What a user can get wrong, said in one line: what came, what was expected, what to do."""


class UserError(Exception):
    """A mistake the user can mend. Commands print its message as one line and exit with 2."""


class ConfigurationError(UserError):
    """An option, a configuration file or a combination of parts that has no meaning."""


class DataError(UserError):
    """Recordings that are missing, unreadable or not of the expected form."""


class TrackingError(UserError):
    """A tracking store or a run that cannot be reached, found or written."""


def first_line(error: BaseException) -> str:
    """What any error says, in a line; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
