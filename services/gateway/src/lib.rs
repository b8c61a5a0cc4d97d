//! Serves the page and the API from the topics.
