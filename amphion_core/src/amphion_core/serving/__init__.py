"""The server of ``amphion serve``: every installed task over HTTP, and speech as OpenAI's clients ask for it.

====================== ===================================================================
``settings``           what the command line decides: address, limits, models, key
``server``             opens the socket, runs the app, ends it on signals
``app``                the paths, and what each answers
``guard``              who may ask: the key, the name of the host, the size of a body
``speech``             a request of OpenAI's speech endpoint -> a request of the task ``tts``
``fields``             the body of a request -> the fields of a task's ``Request``
``offers``             which models a client may name
``running``            loads models once, and computes for several clients
``formats``, ``reply`` audio -> bytes, sent as soon as they are there
``evaluation``         metrics of a pair of files
``answers``            errors as JSON
``counters``           numbers for Prometheus
====================== ===================================================================
"""
