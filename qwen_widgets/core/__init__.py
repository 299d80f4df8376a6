"""The async core: text to sweep to requests to pictures. Nothing in here knows of Jupyter."""
