export declare function isClientBuilt(root: string): boolean;

export declare function buildClient(root: string): Promise<void>;

export declare function compressFiles(folder: string): Promise<void>;
