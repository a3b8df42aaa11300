/** A first start installs packages and builds the client, perhaps on a busy machine, in ms. */
jasmine.DEFAULT_TIMEOUT_INTERVAL = 1_800_000;
