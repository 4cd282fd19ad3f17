"""An optional backend: matrix elements that MadGraph's madjax plugin generated.

Not needed by anything else. What is written here follows the plugin's interface; packages are the
user's own. `backend.open_backend` opens one process of a package.
"""
