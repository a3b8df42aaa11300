export type Unlock = () => Promise<void>;

export declare function tryLock(path: string): Promise<Unlock | number>;

export declare function lock(path: string, onWait: (owner: number) => void): Promise<Unlock>;
