"""The ways of messages: who sends, who reads, and what text has to look like to be sent."""
