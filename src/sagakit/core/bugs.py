"""What is told of an error in the code of a process: which line of the author's it came from."""

from __future__ import annotations

from types import CodeType

from sagakit.errors import ProcessBug


def place(code: CodeType, line: int) -> str:
    """A line of somebody's code, in words."""
    return f"line {line} of {code.co_filename.replace(chr(92), '/').rpartition('/')[2]}"


def bug_of(error: BaseException, author: CodeType | None) -> ProcessBug:
    """An error of the author's code, naming its line."""
    if isinstance(error, ProcessBug):  # names its line already
        return ProcessBug(str(error))
    where = _where(error, author)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ProcessBug(f"{where}: {what}" if where else what)


def _where(error: BaseException, author: CodeType | None) -> str:
    """The last place in the author's file that the error passed, or else the last one that is not the library's."""
    own, elsewhere, trace = "", "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if author is not None and code.co_filename == author.co_filename:
            own = place(code, trace.tb_lineno)
        elif not str(trace.tb_frame.f_globals.get("__name__", "")).startswith("sagakit.core"):
            elsewhere = place(code, trace.tb_lineno)
        trace = trace.tb_next
    return own or elsewhere
