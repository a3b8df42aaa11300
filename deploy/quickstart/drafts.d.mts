export declare function writeWhole(file: string, text: string, options?: { mode?: number }): Promise<void>;

export declare function makeFolderOnce(folder: string, make: (draft: string) => Promise<void>): Promise<void>;
