/** What commands of an iommufd offer to be mapped, by offset. Beside drivers/iommu/iommufd/driver.c:_iommufd_alloc_mmap. */
import { PAGE } from "../kernel/memory-map.ts";

/** Who offers something to be mapped, and is in use while it is. */
interface Owner {
  users: number;
}

/** struct iommufd_mmap */
interface Offer {
  readonly owner: Owner;
  readonly offset: number;
  readonly length: number;
}

/** The offers of a context, by offset: each gets the lowest place that is free, and none the first page. */
export class MmapOffsets {
  readonly #offers: Offer[] = [];

  /** Offers so many bytes; where. */
  alloc(owner: Owner, length: number): number {
    let offset = PAGE;
    let at = 0;
    for (let next = this.#offers[at]; next && next.offset - offset < length; next = this.#offers[at]) {
      offset = next.offset + next.length;
      at++;
    }
    this.#offers.splice(at, 0, { owner, offset, length });
    return offset;
  }

  /** Takes an offer back. */
  free(offset: number): void {
    this.#offers.splice(
      this.#offers.findIndex((offer) => offer.offset === offset),
      1,
    );
  }

  /** Whose offer a mapping would be of: it must be of all of it. */
  ownerOf(offset: number, length: number): Owner | undefined {
    return this.#offers.find((offer) => offer.offset === offset && offer.length === length)?.owner;
  }
}
