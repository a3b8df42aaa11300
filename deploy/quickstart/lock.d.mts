export declare function processStart(pid: number | string): string | undefined;

export declare function tryLock(path: string): (() => void) | number;

export declare function lock(path: string, onWait: (owner: number) => void): Promise<() => void>;
