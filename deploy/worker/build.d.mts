export interface WorkerProgress {
  phase: 'waiting' | 'compiling' | 'linking';
  /** Numbers of units, each of some twenty source files. */
  compiled: number;
  total: number;
}

export interface WorkerCacheOptions {
  /** The folder of the npm package. */
  mediasoupDir: string;
  /** Default: what deploy/cache.mjs says. */
  cacheDir?: string;
}

export interface WorkerBuildOptions extends WorkerCacheOptions {
  onProgress?: (progress: WorkerProgress) => void;
}

export declare const WORKER_DEBIAN_PACKAGES: readonly string[];

export declare class WorkerBuildError extends Error {
  readonly code: 'PACKAGES_MISSING' | 'NO_CACHE' | 'BUILD_FAILED' | 'DOES_NOT_START';
}

export declare function workerCachePath(options: WorkerCacheOptions): string;

export declare function buildEstimate(): { ms: number; cores: number };

export declare function workerBinary(options: WorkerBuildOptions): Promise<string>;
