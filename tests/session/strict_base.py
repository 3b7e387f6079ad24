"""A library's class that wants to be told something of each subclass."""


class Strict:
    def __init_subclass__(cls, *, key: int) -> None:
        super().__init_subclass__()
