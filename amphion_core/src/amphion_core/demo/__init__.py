"""The page of ``amphion demo``: a tab for each task, generated from its ``Request``.

==============  ============================================================================
``server.py``   addresses, passwords, and the start of the server
``guard.py``    refuses the requests of other sites
``page.py``     the page: a tab for each task
``tab.py``      one tab: its form, buttons, progress and results
``forms.py``    fields of a ``Request`` or ``Config`` as components of Gradio, and back
``models.py``   which models a tab offers, and their controls
``jobs.py``     runs one request after the other; each can be cancelled
``results.py``  makes the audio of one request, and what is shown beside it
``lines.py``    the command line and the Python lines of a request
==============  ============================================================================

Only ``forms.py``, ``tab.py``, ``page.py`` and ``server.py`` import Gradio.
"""
