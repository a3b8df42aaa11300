import { HAMBURG, LUEBECK, person } from '../../conference/snapshot-for-specs.ts';
import { findPeople, groupByOrganisation, groupByPlace } from './people-groups.ts';

const aachen = { serverName: 'aachen.example', displayName: 'Aachen', colour: '#1c4f9c' };
const organisations = [LUEBECK, HAMBURG, aachen];
const of = (serverName: string) => organisations.find((one) => one.serverName === serverName) ?? LUEBECK;
const anna = person('anna', 'hamburg.example');
const bert = person('bert', 'luebeck.example');
const carl = person('carl', 'aachen.example');
const aenne = person('Änne', 'hamburg.example');
const people = [anna, bert, carl, aenne];

describe('The people list', () => {
  it('is grouped by organisation, the own one first, the others by name', () => {
    const groups = groupByOrganisation(people, of, 'luebeck.example');
    expect(groups.map(({ head, people: members }) => [head, members.length])).toEqual([
      [{ organisation: LUEBECK }, 1],
      [{ organisation: aachen }, 1],
      [{ organisation: HAMBURG }, 2],
    ]);
  });

  it('keeps organisations of the same name apart', () => {
    const same = groupByOrganisation(people, (serverName) => ({ ...LUEBECK, serverName }), undefined);
    expect(same.map(({ key }) => key)).toEqual(['aachen.example', 'hamburg.example', 'luebeck.example']);
  });

  it('is searched by name, id and organisation', () => {
    const found = (search: string) => findPeople(people, of, search).map(({ displayName }) => displayName);
    expect(found('änn')).toEqual(['Änne']);
    expect(found('@carl:')).toEqual(['carl']);
    expect(found('hamburg')).toEqual(['anna', 'Änne']);
    expect(found('nobody')).toEqual([]);
    expect(found(' ')).toEqual(['anna', 'bert', 'carl', 'Änne']);
  });

  it('is grouped as a module says, the first place first, and without empty groups', () => {
    const places = new Map([
      [carl, 2],
      [aenne, 1],
    ]);
    const grouping = {
      name: 'hands',
      text: '',
      titles: { placed: 'Hands', others: 'Others' },
      place: (one: typeof anna) => places.get(one),
    };
    expect(groupByPlace(people, grouping).map(({ head, people: members }) => [head, members])).toEqual([
      [{ title: 'Hands' }, [aenne, carl]],
      [{ title: 'Others' }, [anna, bert]],
    ]);
    expect(groupByPlace([anna], grouping).map(({ key }) => key)).toEqual(['others']);
  });
});
