"""Pages that explain what a model does: ``amphion visualize``.

Where to look: ``making`` chooses the chapters of a page, ``page`` writes the folder, ``pictures`` draws, and
``explanations`` has the texts. Each other module makes one kind of chapter.
"""
