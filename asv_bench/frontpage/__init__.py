"""A front page for asv's pages, as a plugin of asv: how far, whether worse, how fresh; and verdicts.json, which says the same.

In asv.conf.json, ``"plugins": [".frontpage.plugin"]`` loads this folder, which lies beside it, and ``"frontpage": {...}`` says
what a project has: see settings.py. ``asv publish`` then writes the front page as index.html, and asv's own page as asv.html.
"""
