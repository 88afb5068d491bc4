"""The one exception a value's `parse` raises: what was wrong with the text, and how it should look."""


class Malformed(ValueError):  # noqa: N818 - it reads as what it is: `raise Malformed(...)`
    """A text that is not what it claims to be. `id` is stable and expands with `dari explain`."""

    exit_code = 2

    def __init__(self, id: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.id = id
        self.hint = hint
