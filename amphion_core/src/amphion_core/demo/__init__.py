"""The page of ``amphion demo``: a tab for each task, generated from its ``Request``, and one for the user's own voice.

===================  =======================================================================
``server.py``        addresses, passwords, and the start of the server
``guard.py``         refuses the requests of other sites
``page.py``          the page: a tab for each task
``tab.py``           one tab: its form, buttons, progress and results
``forms.py``         fields of a ``Request`` or ``Config`` as components of Gradio, and back
``models.py``        which models a tab offers, and their controls
``jobs.py``          runs one request after the other; each can be cancelled
``results.py``       makes the audio of one request, and what is shown beside it
``lines.py``         the command line and the Python lines of a request
``voices.py``        the folders of the voices that users make: recordings, texts, runs
``cutting.py``       cuts long recordings at their pauses
``voice_steps.py``   the steps from recordings to a voice, as commands in child processes
``voice_child.py``   such a child process, which ends with the server
``voice_view.py``    what is shown of a voice: sentences, the table, curves, samples
``voice_layout.py``  the components of the tab of the user's own voice
``voice_tab.py``     what its buttons do
===================  =======================================================================

Only ``forms.py``, ``tab.py``, ``page.py``, ``server.py``, ``voice_layout.py`` and ``voice_tab.py`` import Gradio.
"""
