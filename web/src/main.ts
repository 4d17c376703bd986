import { mount } from 'svelte';
import App from './app/App.svelte';
import './app/app.css';
import { isLanguage, languageFor, problemWords, speak } from './app/i18n';
import { preferences } from './app/preferences.svelte';
import { sayProblemsWith } from './ui/problem';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
sayProblemsWith(problemWords);
const chosen = preferences.language;
// Words that do not come leave the English ones.
await speak(chosen && isLanguage(chosen) ? chosen : languageFor(navigator.languages)).catch(() => {});
mount(App, { target });

// Browsers offer it over HTTPS and on this machine only.
if (import.meta.env.PROD && 'serviceWorker' in navigator) navigator.serviceWorker.register('/sw.js').catch(() => {});
