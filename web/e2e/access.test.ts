import { describe, expect, it } from 'vitest';
import { audit } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { Proxy } from './support/proxy';

const here = house();

describe('who may do what', () => {
  it('a role changes for people who are there, both ways', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    await ana.start(here.server.url);
    await ben.join(await ana.share('collaborator'));
    await ben.page.getByLabel('Message', { exact: true }).waitFor();
    const told = await ben.watch('[data-toast]');
    await ana.page.getByLabel('Role of Ben').selectOption('viewer');
    await ben.page.getByText('You may read here.').first().waitFor();
    expect(await ben.page.getByLabel('Message', { exact: true }).count()).toBe(0);
    await eventually(told).toContain('You are Viewer now');
    expect(await ben.page.locator('.people [data-participant]', { hasText: 'Ben (you)' }).locator('.role').textContent()).toBe('Viewer');
    await ana.page.getByLabel('Role of Ben').selectOption('collaborator');
    await ben.say('I may write again');
    await eventually(() => ana.texts()).toEqual(['I may write again']);
  });

  it('a viewer reads along and cannot write', async () => {
    const ana = await here.arrive('Ana');
    const vic = await here.arrive('Vic');
    await ana.start(here.server.url);
    await vic.join(await ana.share('viewer'));
    await ana.say('/help', 'assistant');
    await vic.answers('completed').waitFor();
    expect(await vic.texts()).toEqual(await ana.texts());
    expect(await vic.page.locator('textarea').count()).toBe(0);
    await vic.page.locator('header').getByRole('button', { name: 'Share', exact: true }).click();
    await vic.page.getByText('Links are made by owners and moderators').waitFor();
    await vic.page.getByText('Ask Ana.').waitFor();
    expect(await vic.page.locator('[data-share-url], [data-share-code], [data-link]').count()).toBe(0);
  });

  it('who is removed sees nothing more, at once and after a reload', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    await ana.start(here.server.url);
    await ben.join(await ana.share());
    await ana.say('before');
    await eventually(() => ben.texts()).toEqual(['before']);
    await ana.page.locator('.people').getByRole('button', { name: 'Remove Ben' }).click();
    await ana.page.getByRole('dialog').getByRole('button', { name: 'Remove Ben' }).click();
    await ben.page.getByText('You were removed from this session.').waitFor();
    expect(await ben.page.locator('.message').count()).toBe(0);
    await ben.page.reload();
    await ben.page.getByRole('heading', { name: 'This session is not open to you' }).waitFor();
    await eventually(() => ana.page.locator('.people .name').allInnerTexts()).not.toContain('Ben');
  });

  it('who knocks waits, is let in or is told why not', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    const eve = await here.arrive('Eve');
    await ana.start(here.server.url);
    const link = await ana.share('collaborator');
    const share = await ana.openShare();
    const lobby = share.getByRole('switch', { name: 'Let in each one by hand' });
    await lobby.click();
    await eventually(() => lobby.isChecked()).toBe(true);
    await ana.page.keyboard.press('Escape');
    await ana.say('before you came');
    for (const guest of [ben, eve]) {
      await guest.page.goto(link);
      await guest.page.getByLabel('Your name').fill(guest.name);
      await guest.page.getByRole('button', { name: 'Join', exact: true }).click();
      await guest.page.getByRole('heading', { name: 'You have knocked' }).waitFor();
    }
    await ana.page.locator('.people').getByRole('button', { name: 'Let Ben in', exact: true }).click();
    await eventually(() => ben.texts()).toEqual(['before you came']);
    await ana.page.getByText('Eve asks to be let in.').waitFor();
    await ana.page.locator('.banner').getByRole('button', { name: 'Not now' }).click();
    await eve.page.getByText('You were not let in.').waitFor();
    await eventually(() => ana.page.locator('[data-request]').count()).toBe(0);
  });

  it('who waits is told all the same when the network goes, the server restarts, or the page is loaded again', async () => {
    const wire = await Proxy.start(() => here.server.port);
    try {
      const ana = await here.arrive('Ana');
      const ben = await here.arrive('Ben');
      const eve = await here.arrive('Eve');
      await ana.start(here.server.url);
      const link = await ana.share('collaborator');
      const session = /\/s\/([0-9a-f-]{36})/.exec(ana.page.url())![1]!;
      const asks = { data: { settings: { require_approval: true } }, headers: { origin: here.server.url } };
      expect((await ana.context.request.patch(`${here.server.url}/api/v1/sessions/${session}`, asks)).status()).toBe(200);
      const knocked = (guest: Person) => guest.page.getByRole('heading', { name: 'You have knocked' });
      const knock = async (guest: Person) => {
        await guest.page.goto(wire.url + new URL(link).pathname + new URL(link).hash);
        await guest.page.getByLabel('Your name').fill(guest.name);
        await guest.page.getByRole('button', { name: 'Join', exact: true }).click();
        await knocked(guest).waitFor();
      };
      for (const guest of [ben, eve]) await knock(guest);
      const row = (name: string) => ana.page.locator('.people [data-request]', { hasText: name });
      await Promise.all([row('Ben').waitFor(), row('Eve').waitFor()]);

      // The network is away while they are answered; the page says that it cannot tell, and goes on by itself.
      wire.cut();
      for (const guest of [ben, eve]) await guest.page.getByText('The server cannot be reached now').waitFor();
      await audit(ben.page);
      await ana.page.locator('.people').getByRole('button', { name: 'Let Ben in', exact: true }).click();
      await row('Ben').waitFor({ state: 'detached' });
      wire.mend();
      await ben.isLive();
      await eventually(() => eve.page.getByText('The server cannot be reached now').count()).toBe(0);
      await knocked(eve).waitFor();

      // The server restarts: who waited waits.
      await here.server.kill();
      await eve.page.getByText('The server cannot be reached now').waitFor();
      await here.server.restart();
      await Promise.all([ana.isLive(), row('Eve').waitFor()]);
      await eventually(() => eve.page.getByText('The server cannot be reached now').count()).toBe(0);
      // Loaded again, the page waits on.
      await eve.page.reload();
      await knocked(eve).waitFor();
      await ana.page.locator('.people').getByRole('button', { name: 'Do not let Eve in', exact: true }).click();
      await eve.page.getByText('You were not let in.').waitFor();
    } finally {
      await wire.stop();
    }
  });

  it('a revoked link lets nobody in', async () => {
    const ana = await here.arrive('Ana');
    const eve = await here.arrive('Eve');
    await ana.start(here.server.url);
    const link = await ana.share();
    const share = await ana.openShare();
    await eventually(() => share.locator('[data-link]').count()).toBe(1);
    await share.getByRole('button', { name: 'Revoke' }).click();
    await eventually(() => share.locator('[data-link]').count()).toBe(0);
    await eve.page.goto(link);
    await eve.page.getByLabel('Your name').fill('Eve');
    await eve.page.getByRole('button', { name: 'Join', exact: true }).click();
    await eve.page.locator('.problem[data-code="link_ended"], .problem[data-code="link_not_found"]').waitFor();
  });

  it('the end of a session is seen by all, and it can still be read', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    const address = await ana.start(here.server.url);
    await ben.join(await ana.share());
    await ana.say('last words');
    await eventually(() => ben.texts()).toEqual(['last words']);
    await ana.chooseFromTitle('End session');
    await ana.page.getByRole('dialog').getByRole('button', { name: 'End it' }).click();
    await ben.page.getByText(/This session ended at .* It can still be read\./).waitFor();
    await ben.page.getByText('Nothing can be written here now.').first().waitFor();
    await ana.page.goto(address);
    await ana.isLive();
    expect(await ana.texts()).toEqual(['last words']);
  });

  it('a stranger with the address alone gets nothing', async () => {
    const ana = await here.arrive('Ana');
    const eve = await here.arrive('Eve');
    const address = await ana.start(here.server.url);
    await eve.page.goto(address);
    await eve.page.getByRole('heading', { name: 'You are not logged in here' }).waitFor();
    await eve.start(here.server.url);
    await eve.page.goto(address);
    await eve.page.getByRole('heading', { name: 'This session is not open to you' }).waitFor();
  });
});
