/** A spec may take this long on a busy machine unless it says otherwise, in ms. */
jasmine.DEFAULT_TIMEOUT_INTERVAL = 60_000;
