"""What an evaluation writes for people: the report page, tables for papers, the listening test."""
