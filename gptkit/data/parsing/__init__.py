"""From the rows of a table to records: labelled examples, dialogues, rankings and prompts."""
