"""The application: it plans trials, starts them, listens to them and keeps what they say."""
