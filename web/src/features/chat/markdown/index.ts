/** What is loaded with the first conversation: the painter and all it needs at once. */

export { Painter } from './painter';
