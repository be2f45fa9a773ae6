import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Task } from "../kernel/lock.ts";
import { Mm } from "../kernel/mm.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { Area, Pages, pagesOf } from "./area.ts";
import { IoPagetable, PAGE_SIZE } from "./io-pagetable.ts";

/** A small address space of units, each so many bytes, so that a set of taken units can be the oracle. */
const UNITS = 32;

interface Span {
  readonly start: number;
  readonly length: number;
}

const span: fc.Arbitrary<Span> = fc
  .tuple(fc.nat(UNITS - 1), fc.integer({ min: 1, max: 6 }))
  .map(([start, length]) => ({ start, length: Math.min(length, UNITS - start) }));

const units = ({ start, length }: Span): number[] => Array.from({ length }, (_, index) => start + index);

const owner = new Task(0, new Mm());
const mappingOf = (address: bigint, length: bigint): Area => Area.of({ address, length, writable: true, owner });

/** Maps a span of units; the memory is page-aligned. */
const areaOf = ({ length }: Span, unit: bigint): Area => mappingOf(0n, BigInt(length) * unit);

const range = ({ start, length }: Span, unit: bigint): [bigint, bigint] => [
  BigInt(start) * unit,
  BigInt(start + length) * unit - 1n,
];

type Action =
  | { readonly kind: "map" | "reserve" | "look"; readonly span: Span }
  | { readonly kind: "unmap" | "unreserve"; readonly pick: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constantFrom("map", "reserve", "look"), span }),
  fc.record({ kind: fc.constantFrom("unmap", "unreserve"), pick: fc.nat() }),
);

describe("ranges of an IOAS", () => {
  test("agree with a set of units, whatever is mapped, reserved and given up", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const table = new IoPagetable();
        const mapped: { area: Area; span: Span }[] = [];
        const reserved: { owner: object; span: Span }[] = [];
        const touches = (taken: readonly { span: Span }[], wanted: Span) =>
          taken.some((other) => units(other.span).some((unit) => units(wanted).includes(unit)));

        for (const next of actions) {
          switch (next.kind) {
            case "map": {
              const [start, last] = range(next.span, PAGE_SIZE);
              expect(table.firstArea(start, last) !== undefined).toBe(touches(mapped, next.span));
              expect(table.firstReserved(start, last) !== undefined).toBe(touches(reserved, next.span));
              if (touches(mapped, next.span) || touches(reserved, next.span)) break;
              const area = areaOf(next.span, PAGE_SIZE);
              table.insert(area, start);
              mapped.push({ area, span: next.span });
              break;
            }
            case "reserve": {
              const owner = {};
              const fits = table.isReservable(...range(next.span, PAGE_SIZE));
              expect(fits).toBe(!touches(mapped, next.span));
              if (!fits) break;
              table.reserve(...range(next.span, PAGE_SIZE), owner);
              reserved.push({ owner, span: next.span });
              break;
            }
            case "look": {
              const hit = mapped.filter((other) => touches([other], next.span)).map(({ area }) => area.start);
              const found = table.areasIn(...range(next.span, PAGE_SIZE)).map((area) => area.start);
              expect(found).toEqual(hit.sort((a, b) => Number(a - b)));
              break;
            }
            case "unmap": {
              const [gone] = mapped.splice(next.pick % (mapped.length || 1), 1);
              if (gone) table.remove(gone.area);
              break;
            }
            case "unreserve": {
              const [gone] = reserved.splice(next.pick % (reserved.length || 1), 1);
              if (gone) table.unreserve(gone.owner);
              break;
            }
          }
        }
        expect(table.areas.length).toBe(mapped.length);
        expect(table.reserved.length).toBe(reserved.length);
      }),
    );
  });

  test("a place for a new mapping is the lowest that is free and as well aligned as the user's memory", () => {
    fc.assert(
      fc.property(
        fc.array(span, { maxLength: 12 }),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom(0n, 1n, 2n, 3n, 4n, 6n, 8n),
        (spans, pages, userPage) => {
          const table = new IoPagetable();
          const taken = new Set<number>([0]);
          for (const [index, next] of spans.entries()) {
            if (units(next).some((unit) => taken.has(unit))) continue;
            for (const unit of units(next)) taken.add(unit);
            const [start, last] = range(next, PAGE_SIZE);
            if (index % 3 === 0) table.reserve(start, last, {});
            else table.insert(areaOf(next, PAGE_SIZE), start);
          }
          let alignment = 1;
          while (alignment < pages && (Number(userPage) & alignment) === 0) alignment *= 2;
          let expected = 0;
          const isFree = (page: number) =>
            Array.from({ length: pages }, (_, i) => page + i).every((p) => !taken.has(p));
          while (!isFree(expected)) expected += alignment;

          expect(table.findHole(userPage * PAGE_SIZE, BigInt(pages) * PAGE_SIZE)).toBe(BigInt(expected) * PAGE_SIZE);
        },
      ),
    );
  });

  test("the offset in the page is kept where the caller's memory does not begin with one", () => {
    expect(new IoPagetable().findHole(0x1200_0000_0123n, 16n)).toBe(PAGE_SIZE | 0x123n);
  });

  test("large memory is placed on a huge page, but only as far as the user address allows", () => {
    const table = new IoPagetable();
    expect(table.findHole(0n, 1n << 30n)).toBe(2n << 20n);
    expect(table.findHole(0x1200_0001_0000n, 1n << 30n)).toBe(0x1_0000n);
  });

  test("nothing is placed in the first or last page", () => {
    const table = new IoPagetable();
    table.reserve(PAGE_SIZE, U64_MAX - PAGE_SIZE, {});
    expect(table.findHole(0n, PAGE_SIZE)).toBeUndefined();
  });

  test("a range may end with the address space", () => {
    const table = new IoPagetable();
    const area = mappingOf(0n, PAGE_SIZE);
    table.insert(area, U64_MAX - PAGE_SIZE + 1n);
    expect(table.firstArea(U64_MAX, U64_MAX)).toBe(area);
    expect(table.firstArea(0n, U64_MAX - PAGE_SIZE)).toBeUndefined();
  });

  test("a mapping conforms to an alignment by its place, its length and its offset", () => {
    const conforms = (start: bigint, userAddress: bigint, length: bigint) => {
      const table = new IoPagetable();
      table.insert(mappingOf(userAddress, length), start);
      return table.conformsTo(PAGE_SIZE);
    };
    expect(conforms(0n, 0n, PAGE_SIZE)).toBe(true);
    expect(conforms(1n, 0n, PAGE_SIZE)).toBe(false);
    expect(conforms(0n, 1n, PAGE_SIZE)).toBe(false);
    expect(conforms(0n, 0n, 1n)).toBe(false);
  });

  test("memory counts the pages that it touches", () => {
    expect(mappingOf(0xfffn, 2n).pages.count).toBe(2);
    expect(mappingOf(0n, PAGE_SIZE).pages.count).toBe(1);
  });

  test("another place is free for a mapping that only its own range is in the way of", () => {
    const table = new IoPagetable();
    const area = mappingOf(0n, 2n * PAGE_SIZE);
    table.insert(area, PAGE_SIZE);
    expect(table.isFreeFor([area], 2n * PAGE_SIZE, 4n * PAGE_SIZE - 1n)).toBe(true);
    table.insert(mappingOf(0n, PAGE_SIZE), 3n * PAGE_SIZE);
    expect(table.isFreeFor([area], 2n * PAGE_SIZE, 4n * PAGE_SIZE - 1n)).toBe(false);
  });

  test("within allowed ranges the kernel places, across those that touch, and nowhere else", () => {
    const table = new IoPagetable();
    const [from, to] = [0x10n * PAGE_SIZE, 0x14n * PAGE_SIZE - 1n];
    table.allow([
      { start: 0x12n * PAGE_SIZE, last: to },
      { start: from, last: 0x12n * PAGE_SIZE - 1n },
    ]);
    expect(table.findHole(PAGE_SIZE, 3n * PAGE_SIZE)).toBe(from);
    expect(table.findHole(PAGE_SIZE, 5n * PAGE_SIZE)).toBeUndefined();
    expect(table.isAllowed(from, to)).toBe(true);
    expect(table.isAllowed(from, to + 1n)).toBe(false);
    expect(table.isReservable(0n, from)).toBe(false);
    table.allow([]);
    expect(table.findHole(PAGE_SIZE, 5n * PAGE_SIZE)).toBe(PAGE_SIZE);
    expect(table.isReservable(0n, from)).toBe(true);
  });

  test("the kernel does not place a byte in a hole that has room for no more", () => {
    const table = new IoPagetable();
    table.allow([{ start: 0x10n * PAGE_SIZE, last: 0x10n * PAGE_SIZE + 1n }]);
    expect(table.findHole(0n, 1n)).toBe(0x10n * PAGE_SIZE);
    table.insert(mappingOf(0n, 1n), 0x10n * PAGE_SIZE);
    expect(table.findHole(0n, 1n)).toBeUndefined();
  });
});

describe("memory that several mappings share", () => {
  const users = fc.array(
    fc.tuple(fc.nat(15), fc.nat(15)).map(([a, b]) => ({ firstPage: Math.min(a, b), lastPage: Math.max(a, b) })),
    { maxLength: 6 },
  );

  test("lacks the pages of a range that no user has, as runs", () => {
    fc.assert(
      fc.property(users, users, (all, [wanted = { firstPage: 0, lastPage: 15 }]) => {
        const pages = new Pages({ address: 0n, length: 16n * PAGE_SIZE, writable: true, owner });
        pages.users.push(...all);
        const missing = pages.unpinnedIn(wanted);
        const inRun = (page: number) => missing.some((run) => run.firstPage <= page && page <= run.lastPage);
        for (let page = 0; page < 16; page++) {
          const isWanted = wanted.firstPage <= page && page <= wanted.lastPage;
          const isUsed = all.some((user) => user.firstPage <= page && page <= user.lastPage);
          expect(inRun(page)).toBe(isWanted && !isUsed);
        }
        expect(pagesOf(missing)).toBe(Array.from({ length: 16 }, (_, page) => page).filter(inRun).length);
      }),
    );
  });
});
