"""A WSGI application under gunicorn: logs each request, by a thread too, where APP_LOG says."""

import logging
import os
import threading

import helpers

logger = helpers.logger_of(os.environ["APP_LOG"], "app")


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    thread = threading.Thread(target=logger.info, args=("thread.%s 0", name))
    thread.start()
    logger.info("request.%s 0", name)
    thread.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
