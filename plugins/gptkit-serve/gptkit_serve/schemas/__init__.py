"""The requests that the server accepts, as pydantic models. Unknown fields and values of a wrong type are refused."""
