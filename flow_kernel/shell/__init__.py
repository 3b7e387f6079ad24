"""What IPython sees: the kernel, the extension, the taps that both share, and the magics.

The entries lie here: `kernel`, `extension`, `attach`, `opening`. Below them, each importing only
from those further down:

    isolated    the session's side of cells that run elsewhere
    forked      what runs inside a copy of the session
    worker      what runs inside a worker
    workflows   the magic of workflows, and the picture of a run
    magics      the other magics, and what they answer
    panel       buttons below a question, and the panel of the task
    views       tables, cards, bars and boxes, as text and as HTML
    start       what a kernel loads late, where it writes, what it goes on with
    overrides   what is otherwise than in IPython and ipykernel, and the list of it all
    taps        what sees a cell for the recorder, and holds it up for an answer
    streams     what becomes of printed text
    channels    who sends and who reads messages
"""
