"""The garbage collector rests while a process loads its modules.

Called by `flow_kernel.__main__`, before the kernel is imported, and by `shell.kernel` before
anything of the user's runs.

Half a million small objects are made while a kernel starts, and nearly all of them stay: modules,
classes, functions. Looking through them again and again takes a tenth of the start and frees next
to nothing. Afterwards they all count as old, as they would after so many collections.
"""

import gc


def rest() -> bool:
    """Stops automatic collections.

    Returns:
        Whether they were on, and `resume` shall be called.
    """
    was_on = gc.isenabled()
    gc.disable()
    return was_on


def resume() -> None:
    """Collects as before; what was made meanwhile is old and not looked at soon.

    Takes no time: freezing joins the lists of the generations, and thawing names the joined list
    the oldest. Where something is frozen already, it stays so and nothing grows old at once.
    """
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
    gc.enable()
