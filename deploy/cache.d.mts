export declare function cacheDir(): string;

export declare function sharedCacheDir(): string;
