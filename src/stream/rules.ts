/**
 * Every rule of the format that bytes can break, once: the name (for matching) and what it means for a person.
 * docs/stream.md shows this table; a test keeps the two equal.
 */
export const RULES = {
  // The stream's beginning
  magic: "a migration stream begins with QEVM",
  version: "only version 3 of the stream is known",
  configuration_missing: "the configuration must follow the header; leave send-configuration on",
  configuration_length: "a machine name has 1 to 255 bytes",
  configuration_subsection: "a subsection of the configuration has an unexpected version or content",
  page_bits: "target pages must have 4096 bytes",
  mapped_ram_unsupported: "pages lie outside the stream; switch the capability mapped-ram off",
  multifd_unsupported: "pages travel on other connections; switch the capability multifd off",
  // Elements and sections
  element_unknown: "no element has this type here",
  name_empty: "names of sections and blocks have 1 to 255 bytes",
  section_unknown: "no section with this id was started",
  section_order: "a section of this kind cannot come here",
  ram_twice: "the ram section is started once",
  ram_version: "only instance 0, version 4 of the ram section is known",
  part_before_start: "RAM records come after the ram section was started",
  part_after_end: "no RAM records come after the ram section has ended",
  footer_missing: "each section ends with a footer; leave send-section-footer on",
  footer_section: "a footer names the section that it ends",
  eof_early: "the stream ends after the ram section has ended",
  bytes_after_eof: "nothing follows the end of a post-copy stream",
  truncated: "the stream ended in the middle",
  // Block list
  mem_size_missing: "the ram section starts with the list of blocks",
  block_bytes: "a block is a whole number of pages of 4096 bytes",
  block_page_size: "the page size of a block is a power of two above 4096",
  block_sum: "the blocks' lengths sum up to the announced total",
  block_twice: "each block is announced once",
  blocks_too_many: "the list of blocks is longer than the limit",
  eos_missing: "the list of blocks is followed by the end mark of the section",
  // RAM records
  record_flags: "a RAM record has an unknown combination of flags",
  mem_size_outside_start: "a list of blocks comes at the start only",
  rdma_unsupported: "pages travel by RDMA; migrate over a socket",
  block_unknown: "only announced blocks are named",
  continue_without_block: "a record says `same block as before`, but there is none before",
  page_outside_block: "a page lies inside its block",
  zero_fill: "a zero page is filled with 0",
  xbzrle_header: "an XBZRLE record begins with the byte 1",
  xbzrle_length: "an XBZRLE body has 1 to 4096 bytes",
  xbzrle_body: "the runs of an XBZRLE body stay inside the page and the body",
  xbzrle_in_postcopy: "in post-copy only whole pages are sent",
  compressed_length: "a compressed page has 1 to 4110 bytes",
  record_truncated: "a frame of records holds whole records",
  eos_in_records: "a frame of records holds pages only",
  // Commands
  command_unknown: "no command has this number",
  command_length: "the command has another length",
  command_order: "the command cannot come here",
  advise_page_size: "target pages must have 4096 bytes",
  discard_format: "a discard has version 0, a block and at least one range",
  discard_range: "a discarded range is a whole number of pages inside its block",
  package_length: "the package is empty or longer than the limit",
  command_outside_package: "LISTEN and RUN are sent inside a package only",
  colo_unsupported: "continuous checkpoints are not carried; switch the capability x-colo off",
  // Return path
  message_unknown: "no message of the return path has this number",
  message_length: "the message has another length",
  request_without_block: "a page request says `same block as before`, but there is none before",
  request_range: "a page request is a whole number of pages inside its block",
  bitmap_size: "a received bitmap has one bit per page, in whole 8-byte words",
  bitmap_end: "a received bitmap is closed by its end mark",
  resume_ack_value: "the acknowledgement of a resume has the value 1",
  after_shut: "SHUT is the last message",
} as const;

export type StreamRule = keyof typeof RULES;
