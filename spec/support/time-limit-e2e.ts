/** End-to-end specs wait for browsers and media, in ms. */
jasmine.DEFAULT_TIMEOUT_INTERVAL = 180_000;
