export declare function processStart(pid: number | string): string | undefined;

export declare function isRunning(pid: number | string): boolean;
