"""Conversion of table rows to records: labelled examples, dialogues, rankings and prompts."""
