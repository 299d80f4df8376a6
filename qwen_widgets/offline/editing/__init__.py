"""How given pictures are changed: what the words ask for, what the picture shows, and the tools that change it."""
