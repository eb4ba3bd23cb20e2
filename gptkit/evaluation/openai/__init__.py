"""An OpenAI-compatible server answers the requests of a task."""
