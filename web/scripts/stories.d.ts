export function serveStories(site: string): Promise<{ url: string; stop: () => void }>;
