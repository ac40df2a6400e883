"""The screen in a web page: a small server, and one process a page that draws into it."""
