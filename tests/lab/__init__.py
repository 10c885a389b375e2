"""JupyterLab as `growth lab` starts it."""
