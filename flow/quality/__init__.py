# SPDX-License-Identifier: Apache-2.0
"""`vida quality`: methods x settings x step counts on whole sampling runs, kept run by run, and their pictures."""
